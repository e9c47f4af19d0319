;; Never finishes instantiation: the core module's start function loops.
;; Outcome: timeout
(component
  (core module $guest
    (memory (export "memory") 1)
    (func $start (loop $again br $again))
    (start $start)
    (func (export "run") (result i32) unreachable))
  (core instance $guest (instantiate $guest))
  (func (export "run") (result string)
    (canon lift (core func $guest "run") (memory (core memory $guest "memory")))))
