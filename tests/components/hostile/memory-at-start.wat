;; Asks for 2 GiB of memory before it does anything: over the limit, it cannot even be instantiated.
;; Outcome: out_of_memory
(component
  (core module $guest
    (memory (export "memory") 32768)
    (data (i32.const 8) "\10\00\00\00\04\00\00\00pong")
    (func (export "run") (result i32) i32.const 8))
  (core instance $guest (instantiate $guest))
  (func (export "run") (result string)
    (canon lift (core func $guest "run") (memory (core memory $guest "memory")))))
