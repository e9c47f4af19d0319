;; Says that a request is made from a pollable: a host that believes it takes one for the other.
(component
  (import "wasi:io/poll@0.2.0" (instance $poll (export "pollable" (type (sub resource)))))
  (alias export $poll "pollable" (type $pollable))
  (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
    (alias outer 1 $pollable (type $outer))
    (export "pollable" (type $pollable (eq $outer)))
    (export "subscribe-duration" (func (param "when" u64) (result (own $pollable))))))
  (import "wasi:http/types@0.2.0" (instance $types
    (alias outer 1 $pollable (type $outer))
    (export "outgoing-request" (type $request (sub resource)))
    (export "[constructor]outgoing-request" (func (param "headers" (own $outer)) (result (own $request))))))
  (core func $subscribe (canon lower (func $clock "subscribe-duration")))
  (core func $new (canon lower (func $types "[constructor]outgoing-request")))
  (core module $guest
    (import "host" "subscribe" (func $subscribe (param i64) (result i32)))
    (import "host" "new" (func $new (param i32) (result i32)))
    (func (export "run") (result i32) (call $new (call $subscribe (i64.const 1)))))
  (core instance $guest (instantiate $guest
    (with "host" (instance (export "subscribe" (func $subscribe)) (export "new" (func $new))))))
  (func (export "run") (result u32) (canon lift (core func $guest "run"))))
