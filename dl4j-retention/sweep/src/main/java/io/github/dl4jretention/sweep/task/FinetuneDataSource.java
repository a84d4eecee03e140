package io.github.dl4jretention.sweep.task;

import java.util.Properties;
import org.deeplearning4j.arbiter.optimize.api.data.DataSource;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.dataset.api.iterator.MultiDataSetIterator;

/**
 * Gives Arbiter's OptimizationConfiguration a {@link FinetuneProblem}: Arbiter wants the name of a class, and makes a new
 * instance for every candidate. So keep the problem in a static field.
 */
public interface FinetuneDataSource extends DataSource {

    /** {@return the problem, the same object at each call, of all instances with the same properties} */
    FinetuneProblem problem();

    @Override
    default void configure(Properties properties) {}

    @Override
    default Object trainData() {
        return problem().data().training().iterator();
    }

    @Override
    default Object testData() {
        return problem().data().validationTarget().iterator();
    }

    @Override
    default Class<?> getDataType() {
        return MultiDataSetIterator.class;
    }

    /**
     * {@return the problem of an instance that is made as Arbiter does}
     *
     * @param dataSource a {@link FinetuneDataSource} with a public constructor without arguments
     * @param properties what it is configured with; null for none
     * @throws IllegalArgumentException if it is no such class
     */
    static FinetuneProblem problem(@Nullable Class<? extends DataSource> dataSource, @Nullable Properties properties) {
        if (dataSource == null || !FinetuneDataSource.class.isAssignableFrom(dataSource)) {
            throw new IllegalArgumentException("dataSource: expected a FinetuneDataSource, got " + dataSource);
        }
        try {
            DataSource instance = dataSource.getConstructor().newInstance();
            instance.configure(properties == null ? new Properties() : properties);
            return ((FinetuneDataSource) instance).problem();
        } catch (ReflectiveOperationException e) {
            throw new IllegalArgumentException(
                    "dataSource: expected a public constructor without arguments in " + dataSource, e);
        }
    }
}
