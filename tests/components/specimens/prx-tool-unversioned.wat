;; The same tool as prx-tool.wat, built against WIT packages without a version.
;; Outcome: runs
(component
  (import "prx:host/log" (instance $log
    (type $level-enum (enum "trace" "debug" "info" "warn" "error"))
    (export "level" (type $level (eq $level-enum)))
    (export "log" (func (param "level" $level) (param "message" string)))))
  (import "prx:host/kv" (instance $kv
    (export "get" (func (param "key" string) (result (option (list u8)))))
    (export "set" (func (param "key" string) (param "value" (list u8)) (result (result (error string)))))))

  ;; The lowered imports need memory and realloc, which must exist before the guest that imports them.
  (core module $memory
    (memory (export "memory") 1)
    (global $heap-end (mut i32) (i32.const 4096))
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
    (func (export "free-all") (param i32) (global.set $heap-end (i32.const 4096))))
  (core instance $memory (instantiate $memory))
  (core func $log (canon lower (func $log "log") (memory (core memory $memory "memory"))))
  (core func $kv-get
    (canon lower (func $kv "get") (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))
  (core func $kv-set
    (canon lower (func $kv "set") (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))

  (core module $guest
    (import "host" "log" (func $log (param i32 i32 i32)))
    (import "host" "kv-get" (func $kv-get (param i32 i32 i32)))
    (import "host" "kv-set" (func $kv-set (param i32 i32 i32 i32 i32)))
    (import "memory" "memory" (memory 1))
    ;; tool-spec: name at 64, description at 80, parameters-schema at 160.
    (data (i32.const 16)
      "\40\00\00\00\08\00\00\00"
      "\50\00\00\00\3f\00\00\00"
      "\a0\00\00\00\56\00\00\00")
    (data (i32.const 64) "remember")
    (data (i32.const 80) "Keep the arguments and return those of the call before this one")
    (data (i32.const 160) "{\22type\22:\22object\22,\22properties\22:{\22text\22:{\22type\22:\22string\22}},\22additionalProperties\22:false}")
    (data (i32.const 320) "last")
    (func (export "get-spec") (result i32) i32.const 16)
    ;; At 400 the answer of kv.get, at 420 that of kv.set, at 440 the plugin-result.
    (func (export "execute") (param $args i32) (param $length i32) (result i32)
      (call $log (i32.const 2) (local.get $args) (local.get $length))
      (call $kv-get (i32.const 320) (i32.const 4) (i32.const 400))
      (call $kv-set
        (i32.const 320) (i32.const 4) (local.get $args) (local.get $length) (i32.const 420))
      (i64.store (i32.const 444) (i64.const 0))
      (if (i32.load8_u (i32.const 400))
        (then (i64.store (i32.const 444) (i64.load (i32.const 404)))))
      ;; success is the opposite of the result's tag, error is there when the tag is.
      (i32.store8 (i32.const 440) (i32.eqz (i32.load8_u (i32.const 420))))
      (i32.store8 (i32.const 452) (i32.load8_u (i32.const 420)))
      (i64.store (i32.const 456) (i64.load (i32.const 424)))
      i32.const 440))
  (core instance $guest (instantiate $guest
    (with "host" (instance
      (export "log" (func $log))
      (export "kv-get" (func $kv-get))
      (export "kv-set" (func $kv-set))))
    (with "memory" (instance $memory))))

  (type $tool-spec (record
    (field "name" string) (field "description" string) (field "parameters-schema" string)))
  (type $plugin-result (record
    (field "success" bool) (field "output" string) (field "error" (option string))))
  (func $get-spec (result $tool-spec)
    (canon lift (core func $guest "get-spec") (memory (core memory $memory "memory"))))
  (func $execute (param "args" string) (result $plugin-result)
    (canon lift (core func $guest "execute")
      (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))
      (post-return (core func $memory "free-all"))))

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
  (export "prx:plugin/tool-exports" (instance $exports)))
