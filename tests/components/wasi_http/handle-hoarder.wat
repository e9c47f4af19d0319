;; Makes headers for ever and drops none: a host that gives out handles without a limit runs out of memory.
(component
  (import "wasi:http/types@0.2.0" (instance $types
    (export "fields" (type $fields (sub resource)))
    (export "[constructor]fields" (func (result (own $fields))))))
  (core func $new (canon lower (func $types "[constructor]fields")))
  (core module $guest
    (import "host" "new" (func $new (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 8) "\10\00\00\00\04\00\00\00pong")
    (func (export "ping") (result i32) i32.const 8)
    (func (export "run") (result i32)
      (loop $again
        (drop (call $new))
        (br $again))
      unreachable))
  (core instance $guest (instantiate $guest
    (with "host" (instance (export "new" (func $new))))))
  (func (export "ping") (result string)
    (canon lift (core func $guest "ping") (memory (core memory $guest "memory"))))
  (func (export "run") (result string)
    (canon lift (core func $guest "run") (memory (core memory $guest "memory")))))
