;; Calls itself until the stack ends.
;; Outcome: stack_overflow
(component
  (core module $guest
    (memory (export "memory") 1)
    (data (i32.const 8) "\10\00\00\00\04\00\00\00pong")
    (func (export "ping") (result i32) i32.const 8)
    (func $deeper (param $depth i32) (result i32)
      ;; The addition after the call keeps it from being a tail call.
      (i32.add (i32.const 1) (call $deeper (i32.add (local.get $depth) (i32.const 1)))))
    (func (export "run") (result i32) (call $deeper (i32.const 0))))
  (core instance $guest (instantiate $guest))
  (func (export "ping") (result string)
    (canon lift (core func $guest "ping") (memory (core memory $guest "memory"))))
  (func (export "run") (result string)
    (canon lift (core func $guest "run") (memory (core memory $guest "memory")))))
