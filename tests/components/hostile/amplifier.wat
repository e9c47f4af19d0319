;; Returns 4096 strings that are all the same 1 MiB of its memory: 2 MiB in the guest, 4 GiB once lifted.
;; Outcome: output_too_large
(component
  (core module $guest
    (memory (export "memory") 32)
    ;; Where the list is: address 0x1000, 0x1000 elements.
    (data (i32.const 8) "\00\10\00\00\00\10\00\00")
    (func (export "run") (result i32)
      (local $element i32)
      (memory.fill (i32.const 0x10000) (i32.const 0x61) (i32.const 0x100000))
      (local.set $element (i32.const 0x1000))
      (loop $next
        (i32.store (local.get $element) (i32.const 0x10000))
        (i32.store offset=4 (local.get $element) (i32.const 0x100000))
        (local.set $element (i32.add (local.get $element) (i32.const 8)))
        (br_if $next (i32.lt_u (local.get $element) (i32.const 0x9000))))
      i32.const 8))
  (core instance $guest (instantiate $guest))
  (func (export "run") (result (list string))
    (canon lift (core func $guest "run") (memory (core memory $guest "memory")))))
