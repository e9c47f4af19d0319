;; A valid component that exports nothing at all.
;; Outcome: runs
(component)
