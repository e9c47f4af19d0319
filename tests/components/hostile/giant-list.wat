;; Returns a list of half a million numbers: 4 MiB in the guest, many times that once the host has lifted it.
;; Outcome: output_too_large
(component
  (core module $guest
    (memory (export "memory") 65)
    ;; Where the list is: address 0x10000, 0x80000 elements.
    (data (i32.const 8) "\00\00\01\00\00\00\08\00")
    (func (export "run") (result i32) i32.const 8))
  (core instance $guest (instantiate $guest))
  (func (export "run") (result (list u64))
    (canon lift (core func $guest "run") (memory (core memory $guest "memory")))))
