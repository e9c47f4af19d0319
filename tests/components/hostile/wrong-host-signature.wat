;; Imports an interface the host offers, with a function of another type: config.get returns a number.
;; Outcome: refused
(component
  (import "prx:host/config@0.1.0" (instance $config
    (export "get" (func (param "key" u32) (result u64)))))
  (core func $get (canon lower (func $config "get")))
  (core module $guest
    (import "host" "get" (func $get (param i32) (result i64)))
    (func (export "run") (result i64) (call $get (i32.const 0))))
  (core instance $guest (instantiate $guest
    (with "host" (instance (export "get" (func $get))))))
  (func (export "run") (result u64) (canon lift (core func $guest "run"))))
