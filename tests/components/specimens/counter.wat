;; Keeps state in a global: `next` says how often it was called in this instance.
;; Outcome: runs
(component
  (core module $guest
    (global $calls (mut i32) (i32.const 0))
    (func (export "next") (result i32)
      (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
      global.get $calls))
  (core instance $guest (instantiate $guest))
  (func (export "next") (result u32) (canon lift (core func $guest "next"))))
