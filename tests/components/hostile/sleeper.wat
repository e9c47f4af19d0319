;; Sleeps for an hour in the host: waits on one timer of wasi:clocks@0.2.0. `sleep` waits for what it is told.
;; Outcome: timeout
(component
  (import "wasi:io/poll@0.2.0" (instance $poll
    (export "pollable" (type $pollable (sub resource)))
    (export "[method]pollable.block" (func (param "self" (borrow $pollable))))))
  (alias export $poll "pollable" (type $pollable))
  (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
    (alias outer 1 $pollable (type $outer-pollable))
    (export "pollable" (type $pollable (eq $outer-pollable)))
    (export "subscribe-duration" (func (param "when" u64) (result (own $pollable))))))
  (core func $block (canon lower (func $poll "[method]pollable.block")))
  (core func $drop-pollable (canon resource.drop $pollable))
  (core func $subscribe (canon lower (func $clock "subscribe-duration")))
  (core module $guest
    (import "host" "block" (func $block (param i32)))
    (import "host" "drop-pollable" (func $drop-pollable (param i32)))
    (import "host" "subscribe" (func $subscribe (param i64) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 8) "\10\00\00\00\04\00\00\00pong")
    (data (i32.const 32) "\28\00\00\00\05\00\00\00awake")
    (func (export "ping") (result i32) i32.const 8)
    (func $sleep (export "sleep") (param $nanoseconds i64) (result i32)
      (local $timer i32)
      (local.set $timer (call $subscribe (local.get $nanoseconds)))
      (call $block (local.get $timer))
      (call $drop-pollable (local.get $timer))
      i32.const 32)
    (func (export "run") (result i32) (call $sleep (i64.const 3_600_000_000_000))))
  (core instance $guest (instantiate $guest
    (with "host" (instance
      (export "block" (func $block))
      (export "drop-pollable" (func $drop-pollable))
      (export "subscribe" (func $subscribe))))))
  (func (export "ping") (result string)
    (canon lift (core func $guest "ping") (memory (core memory $guest "memory"))))
  (func (export "sleep") (param "nanoseconds" u64) (result string)
    (canon lift (core func $guest "sleep") (memory (core memory $guest "memory"))))
  (func (export "run") (result string)
    (canon lift (core func $guest "run") (memory (core memory $guest "memory")))))
