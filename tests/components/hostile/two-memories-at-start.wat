;; Has two linear memories, as a component composed of two others does: more than the host gives.
;; Outcome: out_of_memory
(component
  (core module $one (memory (export "memory") 1))
  (core instance $first (instantiate $one))
  (core instance $second (instantiate $one))
  (core module $guest
    (import "first" "memory" (memory 1))
    (func (export "run") (result i64) i64.const 1))
  (core instance $guest (instantiate $guest (with "first" (instance $first))))
  (func (export "run") (result u64) (canon lift (core func $guest "run"))))
