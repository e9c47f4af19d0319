;; Asks for a table of a hundred million elements before it does anything.
;; Outcome: out_of_memory
(component
  (core module $guest
    (table 100000000 funcref)
    (func (export "run") (result i64) i64.const 1))
  (core instance $guest (instantiate $guest))
  (func (export "run") (result u64) (canon lift (core func $guest "run"))))
