from setuptools import find_packages, setup

package_name = "synthex_perception"

setup(
    name=package_name,
    version="0.1.0",
    packages=find_packages(exclude=["test", "test.*"]),
    package_data={package_name: ["py.typed"]},
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/" + package_name]),
        ("share/" + package_name, ["package.xml"]),
    ],
    install_requires=["setuptools"],
    extras_require={"test": ["pytest"]},  # by this `colcon test` knows that pytest runs the tests
    zip_safe=False,
    maintainer="SyntheX ROS maintainers",
    maintainer_email="maintainers@synthex-ros.invalid",
    description="Finds the manipulator and the anatomy in X-ray images",
    license="Apache-2.0",
    entry_points={
        "console_scripts": [
            "perception_node = synthex_perception.nodes.perception_node:main",
            "navigation_node = synthex_perception.nodes.navigation_node:main",
            "train = synthex_perception.training.__main__:main",
            "evaluate = synthex_perception.evaluation.__main__:main",
        ],
    },
)
