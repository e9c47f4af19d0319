;; Imports an interface that the host offers, with a function that it does not have: config.erase-all.
;; Outcome: refused
(component
  (import "prx:host/config@0.1.0" (instance $config
    (export "erase-all" (func (result u64)))))
  (core func $erase (canon lower (func $config "erase-all")))
  (core module $guest
    (import "host" "erase" (func $erase (result i64)))
    (func (export "run") (result i64) (call $erase)))
  (core instance $guest (instantiate $guest
    (with "host" (instance (export "erase" (func $erase))))))
  (func (export "run") (result u64) (canon lift (core func $guest "run"))))
