;; Ends the process instead of returning, as a command line program would: wasi:cli/exit@0.2.0.
;; Outcome: trap
(component
  (import "wasi:cli/exit@0.2.0" (instance $exit
    (export "exit" (func (param "status" (result))))))
  (core func $exit (canon lower (func $exit "exit")))
  (core module $guest
    (import "host" "exit" (func $exit (param i32)))
    (memory (export "memory") 1)
    (data (i32.const 8) "\10\00\00\00\04\00\00\00pong")
    (func (export "ping") (result i32) i32.const 8)
    (func (export "run") (result i32)
      (call $exit (i32.const 0))
      unreachable))
  (core instance $guest (instantiate $guest
    (with "host" (instance (export "exit" (func $exit))))))
  (func (export "ping") (result string)
    (canon lift (core func $guest "ping") (memory (core memory $guest "memory"))))
  (func (export "run") (result string)
    (canon lift (core func $guest "run") (memory (core memory $guest "memory")))))
