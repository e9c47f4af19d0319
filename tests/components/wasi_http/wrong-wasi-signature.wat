;; Imports wasi:http with a function of another type: a value as large as an address, where the host expects text.
(component
  (import "wasi:http/types@0.2.0" (instance $types
    (export "fields" (type $fields (sub resource)))
    (export "[constructor]fields" (func (result (own $fields))))
    (export "[method]fields.has" (func (param "self" (borrow $fields)) (param "name" u64) (result bool)))))
  (core func $new (canon lower (func $types "[constructor]fields")))
  (core func $has (canon lower (func $types "[method]fields.has")))
  (core module $guest
    (import "host" "new" (func $new (result i32)))
    (import "host" "has" (func $has (param i32 i64) (result i32)))
    (func (export "run") (result i32) (call $has (call $new) (i64.const 4096))))
  (core instance $guest (instantiate $guest
    (with "host" (instance (export "new" (func $new)) (export "has" (func $has))))))
  (func (export "run") (result bool) (canon lift (core func $guest "run"))))
