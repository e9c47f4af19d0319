;; Moves a point. Its type stands in the world, outside any interface, so the component imports the type itself.
;; Outcome: runs
(component
  (type $point-record (record (field "x" s32) (field "y" s32)))
  (import "point" (type $point (eq $point-record)))
  (core module $guest
    (memory (export "memory") 1)
    (func (export "move-right") (param $x i32) (param $y i32) (param $distance i32) (result i32)
      (i32.store (i32.const 8) (i32.add (local.get $x) (local.get $distance)))
      (i32.store (i32.const 12) (local.get $y))
      i32.const 8))
  (core instance $guest (instantiate $guest))
  (func (export "move-right") (param "start" $point) (param "distance" s32) (result $point)
    (canon lift (core func $guest "move-right") (memory (core memory $guest "memory")))))
