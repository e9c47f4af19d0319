;; Returns a string of 4 MiB.
;; Outcome: output_too_large
(component
  (core module $guest
    (memory (export "memory") 65)
    (data (i32.const 8) "\10\00\00\00\04\00\00\00pong")
    ;; Where the giant is: address 0x10000, length 0x400000.
    (data (i32.const 32) "\00\00\01\00\00\00\40\00")
    (func (export "ping") (result i32) i32.const 8)
    (func (export "run") (result i32)
      (memory.fill (i32.const 0x10000) (i32.const 0x61) (i32.const 0x400000))
      i32.const 32))
  (core instance $guest (instantiate $guest))
  (func (export "ping") (result string)
    (canon lift (core func $guest "ping") (memory (core memory $guest "memory"))))
  (func (export "run") (result string)
    (canon lift (core func $guest "run") (memory (core memory $guest "memory")))))
