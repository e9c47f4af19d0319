;; Returns "done" from `run`, then never returns from the clean-up that the canonical ABI calls afterwards.
;; Outcome: timeout
(component
  (core module $guest
    (memory (export "memory") 1)
    (data (i32.const 8) "\10\00\00\00\04\00\00\00done")
    (func (export "run") (result i32) i32.const 8)
    (func (export "clean-up") (param i32) (loop $again br $again)))
  (core instance $guest (instantiate $guest))
  (func (export "run") (result string)
    (canon lift (core func $guest "run") (memory (core memory $guest "memory")) (post-return (core func $guest "clean-up")))))
