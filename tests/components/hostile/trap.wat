;; Traps at once in `run`.
;; Outcome: trap
(component
  (core module $guest
    (memory (export "memory") 1)
    (data (i32.const 8) "\10\00\00\00\04\00\00\00pong")
    (func (export "ping") (result i32) i32.const 8)
    (func (export "run") (result i32) unreachable))
  (core instance $guest (instantiate $guest))
  (func (export "ping") (result string)
    (canon lift (core func $guest "ping") (memory (core memory $guest "memory"))))
  (func (export "run") (result string)
    (canon lift (core func $guest "run") (memory (core memory $guest "memory")))))
