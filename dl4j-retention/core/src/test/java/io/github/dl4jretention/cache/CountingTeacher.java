package io.github.dl4jretention.cache;

import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherOutput;
import java.util.List;
import org.nd4j.linalg.api.ndarray.INDArray;

/** Another teacher that counts the examples that it is asked for, and can fail. */
final class CountingTeacher extends Teacher {

    private final Teacher teacher;
    private final int most;
    private int examples;

    CountingTeacher(Teacher teacher) {
        this(teacher, Integer.MAX_VALUE);
    }

    /** @param most examples that are answered */
    CountingTeacher(Teacher teacher, int most) {
        this.teacher = teacher;
        this.most = most;
    }

    int examples() {
        return examples;
    }

    @Override
    public String sha256() {
        return teacher.sha256();
    }

    @Override
    public List<TeacherOutput> outputs() {
        return teacher.outputs();
    }

    @Override
    public INDArray[] logProbabilities(INDArray[] features, INDArray[] featuresMasks) {
        examples += (int) features[0].size(0);
        if (examples > most) {
            throw new IllegalStateException("asked for more than " + most + " examples");
        }
        return teacher.logProbabilities(features, featuresMasks);
    }
}
