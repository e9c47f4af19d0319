;; Adds two numbers; the sum wraps around.
;; Outcome: runs
(component
  (core module $guest
    (func (export "add") (param $a i32) (param $b i32) (result i32)
      (i32.add (local.get $a) (local.get $b))))
  (core instance $guest (instantiate $guest))
  (func (export "add") (param "a" u32) (param "b" u32) (result u32)
    (canon lift (core func $guest "add"))))
