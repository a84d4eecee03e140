package io.github.dl4jretention.teacher;

import io.github.dl4jretention.loss.LabelArrays;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.api.MultiDataSet;
import org.nd4j.linalg.factory.Nd4j;

/** See {@link Teacher#corrected}. */
final class CorrectedTeacher extends Teacher {

    private final Teacher teacher;
    private final double tau;
    private final String sha256;

    CorrectedTeacher(Teacher teacher, double tau) {
        if (!(tau > 0 && tau <= 1)) {
            throw new IllegalArgumentException("tau: expected a number in (0, 1], got " + tau);
        }
        if (teacher.sampledAt().isPresent()) {
            throw new IllegalArgumentException(
                    "teacher: expected whole distributions, of which the correction needs every class, got samples");
        }
        this.teacher = teacher;
        this.tau = tau;
        this.sha256 = NetworkIdentity.sha256(List.of("corrected", Double.toString(tau), teacher.sha256()));
    }

    @Override
    public boolean givesEveryClass() {
        return teacher.givesEveryClass();
    }

    @Override
    public String sha256() {
        return sha256;
    }

    @Override
    public String encoding() {
        return teacher.encoding();
    }

    @Override
    public boolean isFrozen() {
        return teacher.isFrozen();
    }

    @Override
    public List<TeacherOutput> outputs() {
        return teacher.outputs();
    }

    @Override
    public boolean dependsOnFeaturesOnly() {
        return false;
    }

    @Override
    public List<MovingAverageTeacher> movingAverages() {
        return teacher.movingAverages();
    }

    /** The uncorrected teacher's. */
    @Override
    public INDArray[] logProbabilities(INDArray[] features, INDArray @Nullable [] featuresMasks) {
        return teacher.logProbabilities(features, featuresMasks);
    }

    /**
     * @throws IllegalArgumentException if the labels are neither class ids nor one-hot, or do not fit the teacher's
     *     output
     */
    @Override
    public INDArray[] values(MultiDataSet batch) {
        INDArray[] values = teacher.values(batch);
        boolean corrected = false;
        try {
            for (int i = 0; i < values.length; i++) {
                TeacherOutput output = outputs().get(i);
                INDArray mask = batch.getLabelsMaskArrays() == null ? null : batch.getLabelsMaskArray(output.index());
                correct(values[i], batch.getLabels(output.index()), mask, output.classAxis(values[i].rank()));
            }
            corrected = true;
            return values;
        } finally {
            if (!corrected) {
                Arrays.stream(values).forEach(LabelArrays::release);
            }
        }
    }

    private void correct(INDArray array, INDArray labels, @Nullable INDArray mask, int classAxis) {
        INDArray classes = LogProbabilities.classesLast(array, classAxis);
        int vocabulary = (int) classes.size(classes.rank() - 1);
        long tokens = classes.length() / vocabulary;
        double[] weights = mask == null ? null : mask.dup('c').reshape(tokens).toDoubleVector();
        int[] ids = ids(labels, classAxis, vocabulary, tokens, weights, array);
        INDArray copy = classes.dup('c');
        INDArray rows = copy.reshape('c', tokens, vocabulary);
        double[] shifts = new double[ids.length];
        double[] labelled = new double[ids.length];
        for (int row = 0; row < ids.length; row++) {
            if (ids[row] >= 0) {
                double[] logProbabilities = rows.getRow(row).toDoubleVector();
                double alpha = alpha(logProbabilities, ids[row]);
                shifts[row] = Math.log1p(-alpha);
                labelled[row] = Math.log(alpha + (1 - alpha) * Math.exp(logProbabilities[ids[row]]));
            }
        }
        try (INDArray column = Nd4j.createFromArray(shifts);
                INDArray typed = column.reshape(ids.length, 1).castTo(rows.dataType())) {
            rows.addiColumnVector(typed);
        }
        for (int row = 0; row < ids.length; row++) {
            if (ids[row] >= 0) {
                rows.putScalar(row, ids[row], labelled[row]);
            }
        }
        classes.assign(rows.reshape('c', classes.shape()));
        copy.close();
    }

    /** The label's share of one token's distribution. */
    private double alpha(double[] logProbabilities, int label) {
        double other = Double.NEGATIVE_INFINITY;
        for (int v = 0; v < logProbabilities.length; v++) {
            if (v != label) {
                other = Math.max(other, logProbabilities[v]);
            }
        }
        double labelled = Math.exp(logProbabilities[label]);
        double lead = Math.exp(other) - labelled;
        return lead > 0 ? (lead + tau) / (1 + lead) : Math.min(1, tau / Math.max(1 - labelled, Double.MIN_NORMAL));
    }

    /** Class ids, -1 for tokens that are not to be corrected. */
    private static int[] ids(
            INDArray labels, int classAxis, int vocabulary, long tokens, double @Nullable [] weights, INDArray array) {
        boolean withClasses = labels.rank() == array.rank();
        long size = withClasses ? labels.size(classAxis) : 1;
        if (labels.length() != tokens * size || size != 1 && size != vocabulary) {
            throw new IllegalArgumentException(
                    "labels: expected class ids or one-hot labels for the teacher's output of " + "shape "
                            + Arrays.toString(array.shape()) + ", got " + Arrays.toString(labels.shape()));
        }
        try (INDArray copy = (withClasses ? LogProbabilities.classesLast(labels, classAxis) : labels).dup('c')) {
            INDArray rows = copy.reshape('c', tokens, size);
            int[] ids = new int[(int) tokens];
            for (int row = 0; row < ids.length; row++) {
                boolean masked = weights != null && weights[row] == 0;
                ids[row] = masked ? -1 : id(rows.getRow(row).toDoubleVector(), vocabulary);
            }
            return ids;
        }
    }

    private static int id(double[] label, int vocabulary) {
        if (label.length == 1) {
            if (!(label[0] >= 0 && label[0] < vocabulary)) {
                throw new IllegalArgumentException(
                        "labels: expected class ids from 0 to " + (vocabulary - 1) + ", got " + label[0]);
            }
            return (int) label[0];
        }
        int id = -1;
        for (int v = 0; v < label.length; v++) {
            if (label[v] == 1 && id < 0) {
                id = v;
            } else if (label[v] != 0) {
                throw new IllegalArgumentException(
                        "labels: expected one-hot labels, the correction needs one class for " + "every token, got "
                                + Arrays.toString(label));
            }
        }
        return id;
    }

    @Override
    public void close() {
        teacher.close();
    }
}
