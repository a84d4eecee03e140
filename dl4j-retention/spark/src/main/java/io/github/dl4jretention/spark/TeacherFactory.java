package io.github.dl4jretention.spark;

import io.github.dl4jretention.teacher.Teacher;
import java.io.IOException;
import java.io.Serializable;

/**
 * Makes the teacher that all tasks of one executor share, such as a cache in a folder that all machines see:
 *
 * <pre>{@code
 * TeacherFactory factory = pretrained -> TeacherCache.builder()
 *         .teacher(pretrained)
 *         .folder(Path.of("/shared/cache"))
 *         .data("tickets of May")
 *         .open();
 * }</pre>
 *
 * <p>A lambda must not use fields of an object that isn't serialisable.
 */
@FunctionalInterface
public interface TeacherFactory extends Serializable {

    /**
     * {@return the teacher; safe for several threads}
     *
     * @param pretrained the frozen copy of the pretrained model on this executor
     * @throws IOException if a file can't be read; the driver is told of it, with the executor's host
     */
    Teacher create(Teacher pretrained) throws IOException;
}
