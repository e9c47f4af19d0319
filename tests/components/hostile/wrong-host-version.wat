;; Built for a later host: imports prx:host/config@9.0.0.
;; Outcome: refused
(component
  (import "prx:host/config@9.0.0" (instance $config
    (export "count" (func (result u64)))))
  (core func $count (canon lower (func $config "count")))
  (core module $guest
    (import "host" "count" (func $count (result i64)))
    (func (export "run") (result i64) (call $count)))
  (core instance $guest (instantiate $guest
    (with "host" (instance (export "count" (func $count))))))
  (func (export "run") (result u64) (canon lift (core func $guest "run"))))
