;; A tool whose parameters-schema is JSON and no object: a list.
;; Outcome: refused
(component
  (core module $guest
    (memory (export "memory") 1)
    ;; tool-spec: name at 96, description at 112, parameters-schema at 128.
    (data (i32.const 16) "\60\00\00\00\08\00\00\00" "\70\00\00\00\0c\00\00\00" "\80\00\00\00\02\00\00\00")
    ;; plugin-result: success, the output "done", no error.
    (data (i32.const 48) "\01\00\00\00" "\50\00\00\00\04\00\00\00" "\00")
    (data (i32.const 80) "done")
    (data (i32.const 96) "specimen")
    (data (i32.const 112) "Does nothing")
    (data (i32.const 128) "[]")
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024)
    (func (export "get-spec") (result i32) i32.const 16)
    (func (export "execute") (param i32 i32) (result i32) i32.const 48))
  (core instance $guest (instantiate $guest))

  (type $tool-spec (record
    (field "name" string) (field "description" string) (field "parameters-schema" string)))
  (type $plugin-result (record
    (field "success" bool) (field "output" string) (field "error" (option string))))
  (func $get-spec (result $tool-spec)
    (canon lift (core func $guest "get-spec") (memory (core memory $guest "memory"))))
  (func $execute (param "args" string) (result $plugin-result)
    (canon lift (core func $guest "execute")
      (memory (core memory $guest "memory")) (realloc (core func $guest "realloc"))))

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
