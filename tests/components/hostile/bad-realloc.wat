;; Hands the host an address outside its memory when the host wants to pass `run` its `text`.
;; Outcome: trap
(component
  (core module $guest
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 0x7fffff00))
    (func (export "run") (param i32 i32) (result i32) unreachable))
  (core instance $guest (instantiate $guest))
  (func (export "run") (param "text" string) (result string)
    (canon lift (core func $guest "run") (memory (core memory $guest "memory")) (realloc (core func $guest "realloc")))))
