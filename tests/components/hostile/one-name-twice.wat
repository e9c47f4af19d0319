;; Exports two functions that are one tool, however their interfaces are added to the name.
;; Outcome: refused
(component
  (core module $guest
    (func (export "one") (result i32) i32.const 1))
  (core instance $guest (instantiate $guest))
  (func $one (result u32) (canon lift (core func $guest "one")))
  (instance $exports (export "one" (func $one)))
  (export "a:b-c/d@1.0.0" (instance $exports))
  (export "a-b:c/d@1.0.0" (instance $exports)))
