package io.github.dl4jretention.loss;

import java.util.ArrayList;
import java.util.List;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

/** Packed labels put together by hand, whatever their parts hold: one-hot stays one-hot, junk stays junk. */
public final class PackedLabels {

    /** Whose they say they are. */
    public static final String TEACHER = "0123456789abcdef".repeat(4);

    private PackedLabels() {}

    /** @param target {@code [batch, 1 or V]} or {@code [batch, 1 or V, time]}; the teacher likewise */
    public static INDArray of(INDArray target, INDArray teacher) {
        return of(target, teacher, null);
    }

    /** @param weights of the divergence, of the target's shape with one class; null for none */
    public static INDArray of(INDArray target, INDArray teacher, INDArray weights) {
        LabelLayout layout =
                new LabelLayout((int) teacher.size(1), target.size(1) == 1, weights != null, 0, 0, true, TEACHER);
        List<INDArray> parts = new ArrayList<>(List.of(target, teacher));
        if (weights != null) {
            parts.add(weights);
        }
        double[] header = layout.header();
        long[] shape = teacher.shape().clone();
        shape[1] = header.length;
        INDArray last = Nd4j.create(teacher.dataType(), shape);
        for (int i = 0; i < header.length; i++) {
            last.get(NDArrayIndex.all(), NDArrayIndex.point(i)).assign(header[i]);
        }
        parts.add(last);
        return Nd4j.concat(1, parts.toArray(INDArray[]::new));
    }

    /** Labels packed as a TeacherIterator packs them, with a mask of the labels, weights of the divergence, or null. */
    public static INDArray pack(
            INDArray labels, INDArray labelMask, INDArray teacher, INDArray weights, int classAxis, String identity) {
        RetentionLabels packing = new RetentionLabels(
                labels,
                labelMask,
                (batch, time) -> weights,
                classAxis,
                new LabelArrays.Source(identity, 0, true),
                null);
        packing.put(teacher);
        return packing.packed();
    }
}
