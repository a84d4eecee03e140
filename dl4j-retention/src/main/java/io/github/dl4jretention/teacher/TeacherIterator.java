package io.github.dl4jretention.teacher;

import io.github.dl4jretention.loss.RetentionLabels;
import java.util.List;
import java.util.Objects;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.api.DataSetPreProcessor;
import org.nd4j.linalg.dataset.api.MultiDataSet;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;

/**
 * A training iterator whose labels carry the teacher's log-probabilities for the same features, as
 * {@link io.github.dl4jretention.loss.RetentionOutputLayer} takes them. Features and masks pass through untouched. For
 * networks of one input and one output; {@link TeacherMultiDataSetIterator} is for others.
 *
 * <p>Asynchronous prefetching is declined: in M2.1 an error on the prefetch thread leaves {@code fit} waiting forever.
 */
public final class TeacherIterator implements DataSetIterator {

    private static final long serialVersionUID = 1L;

    private final DataSetIterator iterator;
    private final transient Teacher teacher;
    private final transient DivergenceMask divergenceMask;

    /**
     * @param iterator batches whose labels are one-hot, distributions, or class ids
     * @param teacher  asked for every batch
     */
    public TeacherIterator(DataSetIterator iterator, Teacher teacher) {
        this(iterator, teacher, DivergenceMask.LABEL_MASK);
    }

    /**
     * @param divergenceMask which tokens are held near the teacher
     * @throws IllegalArgumentException if the teacher has several outputs
     */
    public TeacherIterator(DataSetIterator iterator, Teacher teacher, DivergenceMask divergenceMask) {
        this.iterator = Objects.requireNonNull(iterator, "iterator");
        this.teacher = Objects.requireNonNull(teacher, "teacher");
        this.divergenceMask = Objects.requireNonNull(divergenceMask, "divergenceMask");
        List<TeacherOutput> outputs = teacher.outputs();
        if (outputs.size() != 1 || outputs.get(0).index() != 0) {
            throw new IllegalArgumentException("teacher: expected one that teaches the only output, got " + outputs
                    + "; use TeacherMultiDataSetIterator");
        }
        if (outputs.get(0).ownArray()) {
            throw new IllegalArgumentException(
                    "teacher: expected one of a network, got one of a SameDiff graph; use TeacherMultiDataSetIterator");
        }
    }

    @Override
    public DataSet next() {
        return withTeacher(iterator.next());
    }

    @Override
    public DataSet next(int num) {
        return withTeacher(iterator.next(num));
    }

    private DataSet withTeacher(DataSet plain) {
        MultiDataSet batch = plain.toMultiDataSet();
        BatchCheck.require(batch);
        INDArray target = teacher.targets(batch)[0];
        TeacherOutput output = teacher.outputs().get(0);
        INDArray packed = RetentionLabels.pack(
                plain.getLabels(),
                target,
                divergenceMask.of(batch, output, target),
                output.classAxis(target.rank()),
                teacher.sha256());
        DataSet taught =
                new DataSet(plain.getFeatures(), packed, plain.getFeaturesMaskArray(), plain.getLabelsMaskArray());
        taught.setExampleMetaData(plain.getExampleMetaData());
        return taught;
    }

    @Override
    public boolean hasNext() {
        return iterator.hasNext();
    }

    @Override
    public void reset() {
        iterator.reset();
    }

    @Override
    public boolean resetSupported() {
        return iterator.resetSupported();
    }

    @Override
    public boolean asyncSupported() {
        return false;
    }

    @Override
    public int batch() {
        return iterator.batch();
    }

    @Override
    public int inputColumns() {
        return iterator.inputColumns();
    }

    /** The wrapped iterator's: the classes, without the teacher's part of the class axis. */
    @Override
    public int totalOutcomes() {
        return iterator.totalOutcomes();
    }

    @Override
    public List<String> getLabels() {
        return iterator.getLabels();
    }

    /** Set on the wrapped iterator: it sees the batch before the teacher does. */
    @Override
    public void setPreProcessor(DataSetPreProcessor preProcessor) {
        iterator.setPreProcessor(preProcessor);
    }

    @Override
    public DataSetPreProcessor getPreProcessor() {
        return iterator.getPreProcessor();
    }
}
