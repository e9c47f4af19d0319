;; Exports two interfaces with a function of the same name, `convert`, and one function at the root.
;; Outcome: runs
(component
  (core module $guest
    (func (export "double") (param i32) (result i32) (i32.mul (local.get 0) (i32.const 2)))
    (func (export "triple") (param i32) (result i32) (i32.mul (local.get 0) (i32.const 3))))
  (core instance $guest (instantiate $guest))
  (func $double (param "number" u32) (result u32) (canon lift (core func $guest "double")))
  (func $triple (param "number" u32) (result u32) (canon lift (core func $guest "triple")))
  (instance $doubling (export "convert" (func $double)))
  (instance $tripling (export "convert" (func $triple)))
  (export "specimens:two/doubling@1.0.0" (instance $doubling))
  (export "specimens:two/tripling@1.0.0" (instance $tripling))
  (export "twice" (func $double)))
