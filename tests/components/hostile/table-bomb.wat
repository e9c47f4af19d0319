;; Grows a table, which costs the host memory that no linear memory shows, until growing is refused; then traps.
;; Outcome: trap
(component
  (core module $guest
    (memory (export "memory") 1)
    (table $refs 1 funcref)
    (func (export "run") (result i32)
      (loop $more
        (if (i32.eq (table.grow $refs (ref.null func) (i32.const 0x10000)) (i32.const -1))
          (then unreachable))
        (br $more))
      unreachable))
  (core instance $guest (instantiate $guest))
  (func (export "run") (result string)
    (canon lift (core func $guest "run") (memory (core memory $guest "memory")))))
