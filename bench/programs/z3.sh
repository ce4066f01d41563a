# z3.sh: quantifiers over integers eliminated, and a product of bit vectors turned into clauses, by z3.
# needs: z3
{
    echo '(declare-const x Int) (declare-const y Int) (declare-const z Int) (declare-const w Int)'
    for k in 3 4 6; do
        echo "(push) (assert (forall ((u Int) (v Int)) (=> (and (< (* 3 u) (+ x (* 2 y))) (> (* 5 v) (- z u)) (< (+ u v) w))
            (exists ((t Int)) (and (< (* 7 t) (+ u x v)) (> (* 4 t) (- y v)) (= (mod t $k) 1))))))
            (apply qe :print false) (pop)"
    done
    echo '(declare-const a (_ BitVec 96)) (declare-const b (_ BitVec 96)) (declare-const c (_ BitVec 96))
        (assert (= (bvmul a b c) (bvadd (bvmul c b) a (_ bv12345 96))))
        (apply (then simplify bit-blast tseitin-cnf) :print false)'
} | z3 -in
