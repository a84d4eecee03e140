package io.github.dl4jretention;

import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherOutput;
import java.util.List;
import org.nd4j.linalg.api.ndarray.INDArray;

/** Another teacher, for tests that look at what it's asked or what becomes of its answers. */
public class WrappingTeacher extends Teacher {

    private final Teacher teacher;

    public WrappingTeacher(Teacher teacher) {
        this.teacher = teacher;
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
        return teacher.logProbabilities(features, featuresMasks);
    }
}
