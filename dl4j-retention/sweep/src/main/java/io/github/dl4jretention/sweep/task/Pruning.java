package io.github.dl4jretention.sweep.task;

import java.io.Serializable;

/**
 * Whether one candidate is to go on. It's asked where the candidate is trained, which may be another machine: so it holds
 * all that it needs, such as the scores of other candidates.
 */
public interface Pruning extends Serializable {

    /** Every candidate is trained to its end. */
    Pruning NONE = new Pruning() {
        private static final long serialVersionUID = 1L;

        @Override
        public boolean isRung(int step) {
            return false;
        }

        @Override
        public boolean isHopeless(RungScore rung) {
            return false;
        }
    };

    /**
     * {@return whether the candidate is to be scored after a step}
     *
     * @param step minibatches trained so far, from 1
     */
    boolean isRung(int step);

    /**
     * {@return whether the candidate is to be ended}
     *
     * @param rung its score and where it was measured
     */
    boolean isHopeless(RungScore rung);
}
