;; Traps during instantiation, before any function can be called.
;; Outcome: trap
(component
  (core module $guest
    (memory (export "memory") 1)
    (func $start unreachable)
    (start $start)
    (func (export "run") (result i32) unreachable))
  (core instance $guest (instantiate $guest))
  (func (export "run") (result string)
    (canon lift (core func $guest "run") (memory (core memory $guest "memory")))))
