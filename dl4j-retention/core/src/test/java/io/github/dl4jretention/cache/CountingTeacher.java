package io.github.dl4jretention.cache;

import io.github.dl4jretention.WrappingTeacher;
import io.github.dl4jretention.teacher.Teacher;
import org.nd4j.linalg.api.ndarray.INDArray;

/** Another teacher that counts the examples that it is asked for, and can fail. */
final class CountingTeacher extends WrappingTeacher {

    private final int most;
    private int examples;

    CountingTeacher(Teacher teacher) {
        this(teacher, Integer.MAX_VALUE);
    }

    /** @param most examples that are answered */
    CountingTeacher(Teacher teacher, int most) {
        super(teacher);
        this.most = most;
    }

    int examples() {
        return examples;
    }

    @Override
    public INDArray[] logProbabilities(INDArray[] features, INDArray[] featuresMasks) {
        examples += (int) features[0].size(0);
        if (examples > most) {
            throw new IllegalStateException("asked for more than " + most + " examples");
        }
        return super.logProbabilities(features, featuresMasks);
    }
}
