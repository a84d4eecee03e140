package io.github.dl4jretention.sweep.space;

import java.util.List;
import org.deeplearning4j.arbiter.optimize.api.AbstractParameterSpace;
import org.deeplearning4j.arbiter.optimize.api.ParameterSpace;

/**
 * A space of settings that are spaces themselves: its fields. Leaves that several settings share count once.
 *
 * @param <T> what the settings make
 */
@SuppressWarnings("rawtypes")
public abstract class SettingsSpace<T> extends AbstractParameterSpace<T> {

    /** For spaces of this library. */
    protected SettingsSpace() {}

    @Override
    public int numParameters() {
        return Leaves.count(getNestedSpaces().values());
    }

    @Override
    public List<ParameterSpace> collectLeaves() {
        return Leaves.of(getNestedSpaces().values());
    }

    @Override
    public boolean isLeaf() {
        return false;
    }

    @Override
    public void setIndices(int... indices) {
        throw new UnsupportedOperationException("indices: expected those of the leaves, this space is none");
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof SettingsSpace<?> that
                && getClass().isInstance(that)
                && getNestedSpaces().equals(that.getNestedSpaces());
    }

    @Override
    public int hashCode() {
        return getNestedSpaces().hashCode();
    }

    @Override
    public String toString() {
        return getClass().getSimpleName() + getNestedSpaces();
    }
}
