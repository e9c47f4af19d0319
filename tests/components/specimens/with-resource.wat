;; Exports a resource, which JSON cannot carry: its constructor and method cannot be tools, `price` can.
;; Outcome: runs
(component
  (type $ticket (resource (rep i32)))
  (core func $new-ticket (canon resource.new $ticket))
  (core module $guest
    (import "host" "new-ticket" (func $new-ticket (param i32) (result i32)))
    (func (export "issue") (result i32) (call $new-ticket (i32.const 7)))
    (func (export "redeem") (param i32) (result i32) local.get 0)
    (func (export "price") (param $count i32) (result i32) (i32.mul (local.get $count) (i32.const 7))))
  (core instance $guest (instantiate $guest
    (with "host" (instance (export "new-ticket" (func $new-ticket))))))
  (func $issue (result (own $ticket)) (canon lift (core func $guest "issue")))
  (func $redeem (param "self" (borrow $ticket)) (result u32) (canon lift (core func $guest "redeem")))
  (func $price (param "count" u32) (result u32) (canon lift (core func $guest "price")))
  (component $box-office
    (import "import-type-ticket" (type $ticket (sub resource)))
    (import "import-func-issue" (func $issue (result (own $ticket))))
    (import "import-func-redeem" (func $redeem (param "self" (borrow $ticket)) (result u32)))
    (import "import-func-price" (func $price (param "count" u32) (result u32)))
    (export $exported-ticket "ticket" (type $ticket))
    (export "[constructor]ticket" (func $issue) (func (result (own $exported-ticket))))
    (export "[method]ticket.redeem" (func $redeem)
      (func (param "self" (borrow $exported-ticket)) (result u32)))
    (export "price" (func $price)))
  (instance $exports (instantiate $box-office
    (with "import-type-ticket" (type $ticket))
    (with "import-func-issue" (func $issue))
    (with "import-func-redeem" (func $redeem))
    (with "import-func-price" (func $price))))
  (export "specimens:resources/box-office@1.0.0" (instance $exports)))
