;; Takes and dirties memory, 1 MiB at a time, until growing is refused; then traps, as most guests do.
;; Outcome: out_of_memory
(component
  (core module $guest
    (memory (export "memory") 1)
    (data (i32.const 8) "\10\00\00\00\04\00\00\00pong")
    (func (export "ping") (result i32) i32.const 8)
    (func (export "run") (result i32)
      (local $old-pages i32)
      (loop $more
        (local.set $old-pages (memory.grow (i32.const 16)))
        (if (i32.eq (local.get $old-pages) (i32.const -1)) (then unreachable))
        (memory.fill
          (i32.shl (local.get $old-pages) (i32.const 16)) (i32.const 0x61) (i32.const 0x100000))
        (br $more))
      unreachable))
  (core instance $guest (instantiate $guest))
  (func (export "ping") (result string)
    (canon lift (core func $guest "ping") (memory (core memory $guest "memory"))))
  (func (export "run") (result string)
    (canon lift (core func $guest "run") (memory (core memory $guest "memory")))))
