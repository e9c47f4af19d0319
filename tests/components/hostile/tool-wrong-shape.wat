;; Exports prx:plugin/tool-exports@0.1.0 with functions of other types: get-spec gives a text, execute takes none.
;; Outcome: refused
(component
  (core module $guest
    (memory (export "memory") 1)
    (data (i32.const 8) "\10\00\00\00\04\00\00\00done")
    (func (export "text") (result i32) i32.const 8))
  (core instance $guest (instantiate $guest))
  (func $text (result string)
    (canon lift (core func $guest "text") (memory (core memory $guest "memory"))))
  (instance $exports
    (export "get-spec" (func $text))
    (export "execute" (func $text)))
  (export "prx:plugin/tool-exports@0.1.0" (instance $exports)))
