;; Drops headers twice and makes up a handle: what it stands for may be somebody else's.
(component
  (import "wasi:http/types@0.2.8" (instance $types
    (export "fields" (type $fields (sub resource)))
    (export "[constructor]fields" (func (result (own $fields))))
    (export "[method]fields.clone" (func (param "self" (borrow $fields)) (result (own $fields))))))
  (alias export $types "fields" (type $fields))
  (core func $new (canon lower (func $types "[constructor]fields")))
  (core func $clone (canon lower (func $types "[method]fields.clone")))
  (core func $drop (canon resource.drop $fields))
  (core module $guest
    (import "host" "new" (func $new (result i32)))
    (import "host" "clone" (func $clone (param i32) (result i32)))
    (import "host" "drop" (func $drop (param i32)))
    (memory (export "memory") 1)
    (data (i32.const 8) "\10\00\00\00\04\00\00\00pong")
    (func (export "ping") (result i32)
      (call $drop (call $clone (call $new)))
      i32.const 8)
    (func (export "run") (result i32)
      (local $fields i32)
      (local.set $fields (call $new))
      (call $drop (local.get $fields))
      (drop (call $clone (local.get $fields)))
      i32.const 8))
  (core instance $guest (instantiate $guest
    (with "host" (instance
      (export "new" (func $new))
      (export "clone" (func $clone))
      (export "drop" (func $drop))))))
  (func (export "ping") (result string)
    (canon lift (core func $guest "ping") (memory (core memory $guest "memory"))))
  (func (export "run") (result string)
    (canon lift (core func $guest "run") (memory (core memory $guest "memory")))))
