;; Returns a string whose bytes are not UTF-8.
;; Outcome: trap
(component
  (core module $guest
    (memory (export "memory") 1)
    (data (i32.const 8) "\10\00\00\00\04\00\00\00\ff\fe\80\c0")
    (func (export "run") (result i32) i32.const 8))
  (core instance $guest (instantiate $guest))
  (func (export "run") (result string)
    (canon lift (core func $guest "run") (memory (core memory $guest "memory")))))
