package io.github.dl4jretention.loss;

import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What one step after the other changes in a layer's configuration: the teacher that it's bound to, an adaptive
 * coefficient, and the count of minibatches. The last step can be taken back.
 */
final class TaughtStep {

    private static final Logger LOG = LoggerFactory.getLogger(RetentionOutputLayerRuntime.class);

    private boolean warned;
    private boolean steered;
    private @Nullable Double adaptedBefore;
    private @Nullable String teacherBefore;

    /**
     * {@return the teacher that the layer is bound to once it has trained on the batch; null for none}
     *
     * @throws IllegalStateException if the batch's teacher is another than the layer's
     */
    static @Nullable String teacherOf(TokenBatch batch, RetentionOutputLayer layer) {
        String expected = layer.getTeacher();
        String met = batch.hasTeacher() ? batch.layout().teacher() : expected;
        LabelArrays.requireSameTeacher(expected, met);
        return met;
    }

    /** Says once that a layer that has a teacher trains without it. */
    void warnWithoutTeacher(TokenBatch batch, RetentionOutputLayer layer) {
        if (!warned && !batch.hasTeacher() && layer.getTeacher() != null && batch.factor > 0) {
            warned = true;
            LOG.warn(
                    "Layer \"{}\" trains without its teacher: the labels carry none, so nothing is retained. Wrap the "
                            + "iterator in a TeacherIterator or TeacherMultiDataSetIterator.",
                    layer.getLayerName());
        }
    }

    /** @param coefficient that the step was trained with */
    void done(RetentionOutputLayer layer, @Nullable String teacher, TokenLoss loss, double coefficient) {
        teacherBefore = layer.teacher;
        layer.teacher = teacher;
        steered = loss.hasTeacher();
        if (steered) {
            adaptedBefore = layer.adaptedCoefficient;
            AdaptiveCoefficient adaptive = layer.getRetention().getAdaptive();
            layer.taughtMinibatches++;
            layer.adaptedCoefficient = adaptive == null ? null : adaptive.next(coefficient, loss.divergence());
        }
    }

    /** A second call does nothing. */
    void takeBack(RetentionOutputLayer layer) {
        if (steered) {
            steered = false;
            layer.taughtMinibatches--;
            layer.adaptedCoefficient = adaptedBefore;
            layer.teacher = teacherBefore;
        }
    }
}
