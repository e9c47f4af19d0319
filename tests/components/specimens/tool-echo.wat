;; A tool in the PRX world that needs nothing from the host: `execute` returns its arguments as they came.
;; Outcome: runs
(component
  (core module $guest
    (memory (export "memory") 1)
    (global $heap-end (mut i32) (i32.const 1024))
    ;; tool-spec: name at 96, description at 112, parameters-schema at 160.
    (data (i32.const 16) "\60\00\00\00\09\00\00\00" "\70\00\00\00\21\00\00\00" "\a0\00\00\00\11\00\00\00")
    (data (i32.const 96) "tool_echo")
    (data (i32.const 112) "Returns its arguments as they are")
    (data (i32.const 160) "{\22type\22:\22object\22}")
    (func (export "realloc")
      (param $old i32) (param $old-size i32) (param $align i32) (param $size i32) (result i32)
      (local $at i32) (local $missing-pages i32)
      (local.set $at
        (i32.and
          (i32.add (global.get $heap-end) (i32.sub (local.get $align) (i32.const 1)))
          (i32.sub (i32.const 0) (local.get $align))))
      (global.set $heap-end (i32.add (local.get $at) (local.get $size)))
      (if (i32.lt_u (global.get $heap-end) (local.get $at)) (then unreachable))
      (local.set $missing-pages
        (i32.sub
          (i32.add (i32.shr_u (global.get $heap-end) (i32.const 16)) (i32.const 1))
          (memory.size)))
      (if (i32.gt_s (local.get $missing-pages) (i32.const 0))
        (then
          (if (i32.eq (memory.grow (local.get $missing-pages)) (i32.const -1)) (then unreachable))))
      (memory.copy (local.get $at) (local.get $old) (local.get $old-size))
      local.get $at)
    (func (export "get-spec") (result i32) i32.const 16)
    ;; plugin-result at 48: success, the output, no error.
    (func (export "execute") (param $args i32) (param $length i32) (result i32)
      (i32.store8 (i32.const 48) (i32.const 1))
      (i32.store (i32.const 52) (local.get $args))
      (i32.store (i32.const 56) (local.get $length))
      i32.const 48)
    (func (export "free-all") (param i32) (global.set $heap-end (i32.const 1024))))
  (core instance $guest (instantiate $guest))

  (type $tool-spec (record
    (field "name" string) (field "description" string) (field "parameters-schema" string)))
  (type $plugin-result (record
    (field "success" bool) (field "output" string) (field "error" (option string))))
  (func $get-spec (result $tool-spec)
    (canon lift (core func $guest "get-spec") (memory (core memory $guest "memory"))))
  (func $execute (param "args" string) (result $plugin-result)
    (canon lift (core func $guest "execute")
      (memory (core memory $guest "memory")) (realloc (core func $guest "realloc"))
      (post-return (core func $guest "free-all"))))

  ;; An exported interface must name its record types itself, which takes a component around the functions.
  (component $tool-exports
    (type $tool-spec-record (record
      (field "name" string) (field "description" string) (field "parameters-schema" string)))
    (type $plugin-result-record (record
      (field "success" bool) (field "output" string) (field "error" (option string))))
    (import "import-type-tool-spec" (type $tool-spec (eq $tool-spec-record)))
    (import "import-type-plugin-result" (type $plugin-result (eq $plugin-result-record)))
    (import "import-func-get-spec" (func $get-spec (result $tool-spec)))
    (import "import-func-execute" (func $execute (param "args" string) (result $plugin-result)))
    (export $exported-tool-spec "tool-spec" (type $tool-spec-record))
    (export $exported-plugin-result "plugin-result" (type $plugin-result-record))
    (export "get-spec" (func $get-spec) (func (result $exported-tool-spec)))
    (export "execute" (func $execute)
      (func (param "args" string) (result $exported-plugin-result))))
  (instance $exports (instantiate $tool-exports
    (with "import-type-tool-spec" (type $tool-spec))
    (with "import-type-plugin-result" (type $plugin-result))
    (with "import-func-get-spec" (func $get-spec))
    (with "import-func-execute" (func $execute))))
  (export "prx:plugin/tool-exports@0.1.0" (instance $exports)))
