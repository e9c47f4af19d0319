;; Returns a string that lies outside its memory.
;; Outcome: trap
(component
  (core module $guest
    (memory (export "memory") 1)
    (data (i32.const 8) "\00\ff\ff\7f\00\10\00\00")
    (func (export "run") (result i32) i32.const 8))
  (core instance $guest (instantiate $guest))
  (func (export "run") (result string)
    (canon lift (core func $guest "run") (memory (core memory $guest "memory")))))
