;; Sleeps for an hour in the host: polls a list of one deadline of wasi:clocks@0.2.6. `sleep` waits for what it is told.
;; Outcome: timeout
(component
  (import "wasi:io/poll@0.2.6" (instance $poll
    (export "pollable" (type $pollable (sub resource)))
    (export "poll" (func (param "in" (list (borrow $pollable))) (result (list u32))))))
  (alias export $poll "pollable" (type $pollable))
  (import "wasi:clocks/monotonic-clock@0.2.6" (instance $clock
    (alias outer 1 $pollable (type $outer-pollable))
    (export "pollable" (type $pollable (eq $outer-pollable)))
    (export "now" (func (result u64)))
    (export "subscribe-instant" (func (param "when" u64) (result (own $pollable))))))
  ;; Lowering `poll` needs the guest's memory, which must exist before the guest that imports it.
  (core module $memory
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 256))
  (core instance $memory (instantiate $memory))
  (core func $poll
    (canon lower (func $poll "poll") (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))
  (core func $drop-pollable (canon resource.drop $pollable))
  (core func $now (canon lower (func $clock "now")))
  (core func $subscribe (canon lower (func $clock "subscribe-instant")))
  (core module $guest
    (import "host" "poll" (func $poll (param i32 i32 i32)))
    (import "host" "drop-pollable" (func $drop-pollable (param i32)))
    (import "host" "now" (func $now (result i64)))
    (import "host" "subscribe" (func $subscribe (param i64) (result i32)))
    (import "memory" "memory" (memory 1))
    (data (i32.const 8) "\10\00\00\00\04\00\00\00pong")
    (data (i32.const 32) "\28\00\00\00\05\00\00\00awake")
    (func (export "ping") (result i32) i32.const 8)
    (func $sleep (export "sleep") (param $nanoseconds i64) (result i32)
      (i32.store (i32.const 64) (call $subscribe (i64.add (call $now) (local.get $nanoseconds))))
      ;; A list of one pollable at 64; the list of those that are ready is described at 72.
      (call $poll (i32.const 64) (i32.const 1) (i32.const 72))
      (call $drop-pollable (i32.load (i32.const 64)))
      i32.const 32)
    (func (export "run") (result i32) (call $sleep (i64.const 3_600_000_000_000))))
  (core instance $guest (instantiate $guest
    (with "host" (instance
      (export "poll" (func $poll))
      (export "drop-pollable" (func $drop-pollable))
      (export "now" (func $now))
      (export "subscribe" (func $subscribe))))
    (with "memory" (instance $memory))))
  (func (export "ping") (result string)
    (canon lift (core func $guest "ping") (memory (core memory $memory "memory"))))
  (func (export "sleep") (param "nanoseconds" u64) (result string)
    (canon lift (core func $guest "sleep") (memory (core memory $memory "memory"))))
  (func (export "run") (result string)
    (canon lift (core func $guest "run") (memory (core memory $memory "memory")))))
