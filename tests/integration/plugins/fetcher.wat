;; A guest with nothing of its own: `fetch` is http-outbound's request, `setting` is config's get.
(component
  (import "prx:host/http-outbound@0.1.0" (instance $http
    (type $record (record (field "status" u16) (field "headers" (list (tuple string string))) (field "body" (list u8))))
    (export "http-response" (type $response (eq $record)))
    (export "request" (func
      (param "method" string) (param "url" string) (param "headers" (list (tuple string string)))
      (param "body" (option (list u8))) (result (result $response (error string)))))))
  (import "prx:host/config@0.1.0" (instance $config
    (export "get" (func (param "key" string) (result (option string))))))

  (core module $memory
    (memory (export "memory") 1)
    (global $heap-end (mut i32) (i32.const 4096))
    (func (export "realloc") (param $old i32) (param i32) (param i32) (param $size i32) (result i32)
      (local $at i32) (local $missing-pages i32)
      (local.set $at (i32.and (i32.add (global.get $heap-end) (i32.const 7)) (i32.const -8)))
      (global.set $heap-end (i32.add (local.get $at) (local.get $size)))
      (local.set $missing-pages
        (i32.sub (i32.add (i32.shr_u (global.get $heap-end) (i32.const 16)) (i32.const 1)) (memory.size)))
      (if (i32.gt_s (local.get $missing-pages) (i32.const 0))
        (then (if (i32.eq (memory.grow (local.get $missing-pages)) (i32.const -1)) (then unreachable))))
      (if (local.get $old) (then unreachable))
      local.get $at))
  (core instance $memory (instantiate $memory))
  (core func $request (canon lower (func $http "request")
    (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))
  (core func $get (canon lower (func $config "get")
    (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))

  ;; Answers lie at 64: the host writes them, and the caller reads them there.
  (core module $guest
    (import "host" "request" (func $request (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))
    (import "host" "get" (func $get (param i32 i32 i32)))
    (func (export "fetch") (param i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
      (call $request
        (local.get 0) (local.get 1) (local.get 2) (local.get 3) (local.get 4) (local.get 5)
        (local.get 6) (local.get 7) (local.get 8) (i32.const 64))
      i32.const 64)
    (func (export "setting") (param i32 i32) (result i32)
      (call $get (local.get 0) (local.get 1) (i32.const 64))
      i32.const 64))
  (core instance $guest (instantiate $guest
    (with "host" (instance (export "request" (func $request)) (export "get" (func $get))))))

  (type $own-record (record (field "status" u16) (field "headers" (list (tuple string string))) (field "body" (list u8))))
  (export $own-response "http-response" (type $own-record))
  (func $fetch
    (param "method" string) (param "url" string) (param "headers" (list (tuple string string)))
    (param "body" (option (list u8))) (result (result $own-response (error string)))
    (canon lift (core func $guest "fetch")
      (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))
  (func $setting (param "key" string) (result (option string))
    (canon lift (core func $guest "setting")
      (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))
  (export "fetch" (func $fetch))
  (export "setting" (func $setting)))
